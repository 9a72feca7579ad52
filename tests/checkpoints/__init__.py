"""Makers of tiny made-up checkpoints in the layouts that publishers use, one module for each kind of model."""
