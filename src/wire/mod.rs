//! Wire codecs: total functions over bytes, without meaning, I/O or time.
