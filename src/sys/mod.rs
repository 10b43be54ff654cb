//! `unsafe` and raw system calls. The only module that may.
#![allow(unsafe_code)]
