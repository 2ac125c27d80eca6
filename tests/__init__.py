"""The tests of bridge: through its public API, over real sockets, databases and files."""
