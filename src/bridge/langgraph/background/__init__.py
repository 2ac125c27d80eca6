"""Background interactions as nodes: started once, parked for free, woken from anywhere."""
