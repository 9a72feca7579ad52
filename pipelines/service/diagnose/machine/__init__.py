"""This machine while a service works: processes, processor, memory, disks, connections, GPUs. Open `watch` first."""
