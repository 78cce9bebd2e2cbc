"""What the families share: the contract, the neural base class and the one training loop."""
