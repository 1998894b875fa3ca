use tokio::time::advance;

use super::*;

const MIB: u64 = 1 << 20;

fn settings() -> AdmissionSettings {
    AdmissionSettings { min_free_disk_bytes: 256 * MIB, max_memory_bytes: None, max_requests: 2 }
}

fn always(measured: Measured) -> Admission {
    Admission::measuring(settings(), Arc::new(move || measured))
}

fn roomy() -> Measured {
    Measured { free_disk: Some(256 * MIB), resident: Some(90 * MIB), max_memory: Some(100 * MIB) }
}

#[tokio::test]
async fn an_operation_is_accepted_while_disk_and_memory_last() {
    let disk = |bytes| Measured { free_disk: bytes, ..roomy() };
    let memory = |used, max| Measured { resident: used, max_memory: max, ..roomy() };
    let rows = [
        (roomy(), None),
        (disk(Some(256 * MIB - 1)), Some(("disk_full", RETRY_DISK))),
        (disk(Some(0)), Some(("disk_full", RETRY_DISK))),
        (disk(None), Some(("disk_full", RETRY_DISK))),
        (memory(Some(90 * MIB + 1), Some(100 * MIB)), Some(("overloaded", RETRY_MEMORY))),
        (memory(Some(u64::MAX), Some(u64::MAX)), Some(("overloaded", RETRY_MEMORY))),
        (memory(Some(u64::MAX), None), None),
        (memory(None, Some(1)), None),
    ];
    for (measured, expected) in rows {
        let refused = always(measured).operation().await.err();
        let told = refused.as_ref().map(|r| (r.code(), r.retry()));
        assert_eq!(told, expected.map(|(code, after)| (code, Retry::After(after))), "{measured:?}");
    }
    let refused = always(disk(Some(3 * MIB))).disk().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the data directory has 3 MiB free, less than 256 MiB (REGENT_MIN_FREE_DISK)"
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_measured_once_a_second_however_many_ask() {
    let n_measured = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&n_measured);
    let measure = move || {
        let n = counted.fetch_add(1, Ordering::Relaxed);
        Measured { free_disk: Some(if n == 0 { 0 } else { 512 * MIB }), ..roomy() }
    };
    let admission = Admission::measuring(settings(), Arc::new(measure));
    for _ in 0..10 {
        assert!(admission.operation().await.is_err());
    }
    advance(FRESH).await;
    for _ in 0..10 {
        admission.operation().await.unwrap();
    }
    assert_eq!(n_measured.load(Ordering::Relaxed), 2);
    assert_eq!(admission.metrics(), AdmissionMetrics { disk: 10, memory: 0, requests: 0 });
}

#[tokio::test]
async fn a_request_is_answered_while_there_are_not_too_many() {
    let admission = always(roomy());
    let (first, _second) = (admission.request().unwrap(), admission.clone().request().unwrap());
    let refused = admission.request().unwrap_err();
    assert_eq!((refused.code(), refused.retry()), ("overloaded", Retry::After(RETRY_REQUESTS)));
    drop(first);
    assert!(admission.request().is_ok());
    assert_eq!(admission.metrics(), AdmissionMetrics { disk: 0, memory: 0, requests: 1 });
}
