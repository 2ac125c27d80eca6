"""What a caller sends beside its words: settings, tools, and the resources that stand beside interactions.

None of it is needed to read a stream, so each module is loaded when one of its names is first used.
"""
