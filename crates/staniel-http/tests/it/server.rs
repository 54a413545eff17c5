//! Server connections: raw clients on one side, exchanges of every kind on the other.

mod basics;
mod bodies;
mod deadlines;
mod drain;
mod ends;
mod expect;
mod refused;
mod sizes;
mod upgrade;
mod wakes;
