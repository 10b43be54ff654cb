//! `unsafe` and raw system calls, each small and with its reason. The only module that may.
//!
//! What lives here knows the kernel and nothing else: no protocol, no process roles, no configuration.
#![allow(unsafe_code)]

pub mod aio;
pub mod calendar;
pub mod children;
pub mod connect;
pub mod environment;
pub mod linkbeat;
pub mod listen;
pub mod log;
pub mod memfd;
pub mod packet;
pub mod pcre2;
pub mod poll;
pub mod privileges;
pub mod raw;
pub mod seqpacket;
pub mod udp;
pub mod udp_ttl;
