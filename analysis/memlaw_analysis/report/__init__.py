"""What a report says: sections, the terminal's summary, the page and its files."""
