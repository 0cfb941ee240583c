"""What the tests that need another process share: servers, peers, Node and a browser."""
