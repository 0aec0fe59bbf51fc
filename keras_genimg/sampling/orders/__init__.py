"""Orders in which the pixels of an image are sampled, a class and a file each."""
