"""Work of commands, whose options `genimg_export` parses."""
