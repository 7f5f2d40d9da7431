"""One checkpoint opened many times, on the devices of this machine or of many."""
