"""Are two newswires about the same thing? One LSTM reads both (book 7.1.5)."""
