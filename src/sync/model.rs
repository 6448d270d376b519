//! The primitives of a model-checked build.
