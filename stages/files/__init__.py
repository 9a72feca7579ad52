"""What a run leaves as files, and how they are read again: candidates (`tables`), rankings, failures."""
