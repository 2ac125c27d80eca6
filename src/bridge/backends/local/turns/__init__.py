"""One turn of the embedded service: its record, the events that tell of it, what it uses, and its life while it runs."""
