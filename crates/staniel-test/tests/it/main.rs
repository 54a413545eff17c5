//! The test support, tested on itself and on programs that others wrote.

mod foreign;
mod load;
mod raw;
