//! KEEPALIVED-MIB as data: tables over rows, in OID order.
