//! The runtime from outside: real Postgres, a cloud and two kinds of its own.

#[cfg(test)]
mod changes;
mod converging;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod ownership;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod support;
#[cfg(test)]
mod taking_over;
#[cfg(test)]
mod tidying;
#[cfg(test)]
mod trail;
