"""Studies: a file says what is compared; a run judges it image by image and can be resumed."""
