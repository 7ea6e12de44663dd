//! ECS from inside.
