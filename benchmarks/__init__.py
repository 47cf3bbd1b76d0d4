"""Speed of lrbench, against peers and against the machine's own limits."""
