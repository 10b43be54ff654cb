//! Frames: messages back to back, postcard-encoded, as many as fit.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest frame: two fit into the smallest socket buffer that Linux gives.
pub const FRAME_MAX: usize = 32 * 1024;

/// A frame that cannot be read. Both ends are the same build, so this is a fault of ours: the reader resyncs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame between our processes does not decode: {0}")]
    Undecodable(postcard::Error),
    #[error("a message of {0} bytes does not fit a frame")]
    TooLarge(usize),
}

/// Packs messages into frames.
#[derive(Debug, Default)]
pub struct Packer {
    frames: Vec<Vec<u8>>,
}

impl Packer {
    /// Appends a message to the last frame, or to a new one if it does not fit there.
    pub fn push<T: Serialize>(&mut self, message: &T) -> Result<(), FrameError> {
        let bytes = postcard::to_stdvec(message).map_err(FrameError::Undecodable)?;
        if bytes.len() > FRAME_MAX {
            return Err(FrameError::TooLarge(bytes.len()));
        }
        match self.frames.last_mut() {
            Some(frame) if frame.len() + bytes.len() <= FRAME_MAX => frame.extend_from_slice(&bytes),
            _ => self.frames.push(bytes),
        }
        Ok(())
    }

    pub fn into_frames(self) -> Vec<Vec<u8>> {
        self.frames
    }
}

/// One message as one frame.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut packer = Packer::default();
    packer.push(message)?;
    Ok(packer.into_frames().pop().unwrap_or_default())
}

/// All messages of a frame, in order.
pub fn decode<T: DeserializeOwned>(mut frame: &[u8]) -> Result<Vec<T>, FrameError> {
    let mut messages = Vec::new();
    while !frame.is_empty() {
        let (message, rest) = postcard::take_from_bytes(frame).map_err(FrameError::Undecodable)?;
        // A message that takes no bytes would never end this loop.
        if rest.len() == frame.len() {
            return Err(FrameError::Undecodable(postcard::Error::DeserializeUnexpectedEnd));
        }
        messages.push(message);
        frame = rest;
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_packed_is_read_in_order(messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..40)) {
            let mut packer = Packer::default();
            for message in &messages {
                packer.push(message).unwrap();
            }
            let frames = packer.into_frames();
            prop_assert!(frames.iter().all(|frame| frame.len() <= FRAME_MAX));
            let read: Vec<Vec<u8>> = frames.iter().flat_map(|frame| decode(frame).unwrap()).collect();
            prop_assert_eq!(read, messages);
        }

        #[test]
        fn no_bytes_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode::<crate::bus::msg::Feed>(&bytes);
        }
    }

    #[test]
    fn a_message_larger_than_a_frame_is_refused() {
        let large = "x".repeat(FRAME_MAX);
        assert!(matches!(encode(&large), Err(FrameError::TooLarge(_))));
    }
}
