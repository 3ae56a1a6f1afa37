"""Memories: the content that a cell must store, from text and tables to token ids."""
