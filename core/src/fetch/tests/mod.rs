mod faults;
mod network;
mod parts;
mod ways;
