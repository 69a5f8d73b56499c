mod faults;
mod network;
mod parts;
mod trees;
mod ways;
