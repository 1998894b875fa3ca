//! Images as ECR describes them.

use std::time::SystemTime;

use aws_sdk_ecr::types::{ImageDetail, ImageStatus};
use regent_plugin_api::TagDetail;
use regent_plugin_api::oci::Digest;

/// The tags of an image; those that the specification has no way to say are left out, as are images in the archive:
/// these can't be pulled, and the registry answers as if they were not there.
pub(crate) fn tags(image: &ImageDetail) -> Vec<TagDetail> {
    let digest = image.image_digest().and_then(|digest| digest.parse::<Digest>().ok());
    let is_active = image.image_status().is_none_or(|status| *status == ImageStatus::Active);
    let Some(digest) = digest.filter(|_| is_active) else { return Vec::new() };
    let pushed = image.image_pushed_at().and_then(|at| SystemTime::try_from(*at).ok());
    let size_bytes = image.image_size_in_bytes().and_then(|size| u64::try_from(size).ok());
    let tags = image.image_tags().iter().filter_map(|tag| tag.parse().ok());
    tags.map(|tag| TagDetail { tag, digest: digest.clone(), pushed, size_bytes }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_becomes_its_tags_unless_it_is_archived() {
        let image = |status: Option<ImageStatus>| {
            ImageDetail::builder()
                .image_digest(Digest::sha256(b"x").to_string())
                .image_tags("1.0")
                .image_tags("latest")
                .image_tags("a".repeat(200))
                .image_size_in_bytes(7)
                .set_image_status(status)
                .build()
        };
        let rows = [
            (None, 2),
            (Some(ImageStatus::Active), 2),
            (Some(ImageStatus::Archived), 0),
            (Some(ImageStatus::Activating), 0),
        ];
        for (status, expected) in rows {
            let found = tags(&image(status.clone()));
            assert_eq!(found.len(), expected, "{status:?}");
            assert!(found.iter().all(|detail| detail.size_bytes == Some(7)));
        }
    }
}
