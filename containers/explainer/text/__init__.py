"""Attributions of the parts of texts: tokens, sentences or paragraphs, alone and beside numbers and categories."""
