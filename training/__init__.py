"""The pipeline: raw sentence pairs in, a published model bundle out."""
