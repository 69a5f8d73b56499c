//! dag_pb
