"""Who keeps the record of jobs: the protocol in `store`, SQLite and Postgres over one set of statements in `sql`, and in `conformance` what each must do."""
