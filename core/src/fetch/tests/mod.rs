mod faults;
mod network;
mod ways;
