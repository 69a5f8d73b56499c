mod faults;
mod honest;
mod network;
mod trees;
mod units;
