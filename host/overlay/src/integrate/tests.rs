//! Tests that need the inside of integration.
