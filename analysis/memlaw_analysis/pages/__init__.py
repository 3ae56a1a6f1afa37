"""What HTML pages share: the frame, sortable tables, and text coloured by probability."""
