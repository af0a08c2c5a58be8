"""Where the data come from: files of published packages, fetched once, verified, and read where they lie."""
