"""The model and what it is fed: unpack an archive safely, load it, read pictures and rows. The only TensorFlow."""
