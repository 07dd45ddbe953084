"""Weights of trained layers, out of the files of other libraries, with their axes as Keras keeps them."""
