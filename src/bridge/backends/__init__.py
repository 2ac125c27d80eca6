"""Who does the work. Each backend meets `bridge.backend.Backend`; only `bridge.connect` and the command line choose one."""
