"""What the demo and the tests run on a bare machine: PostgreSQL, Redis and a supervisor. The product imports none of it."""
