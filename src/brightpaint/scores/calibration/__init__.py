"""Is the distribution that an arm paints from right: samples of one field set beside each other and beside the real one."""
