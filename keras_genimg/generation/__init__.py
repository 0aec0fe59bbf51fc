"""Generation and completion of images, by samplers that have been checked."""
