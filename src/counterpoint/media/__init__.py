"""Files in, tensors out: decoding, encoding, and the transforms in front of encoders."""
