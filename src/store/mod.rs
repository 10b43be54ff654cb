//! What the bridge knows: frames in, one immutable snapshot out.
