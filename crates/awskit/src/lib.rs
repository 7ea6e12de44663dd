//! awskit
