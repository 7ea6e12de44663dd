//! Notifications: what happened, told to people outside. It decides nothing and writes nothing to AWS but messages.
