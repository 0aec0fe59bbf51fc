"""Orders in which the pixels of an image are drawn, a class and a file each."""
