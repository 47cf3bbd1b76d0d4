"""Tables -> matplotlib Figure: one file and one public function each, of the plot's name."""
